"""One verb a file: what the jobs, the commands and the API do, built on the rules and the adapters."""
