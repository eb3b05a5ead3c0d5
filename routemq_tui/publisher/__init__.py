"""Publishing: one message from the command line, and the configured example traffic. For development."""
