"""The command `penguin-infra`: what operators type. Decisions and SQL stand on lower floors."""
