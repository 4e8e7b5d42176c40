"""The SMTP sink, which receives the mails that verify new nodes."""
