"""What runs in a worker process. Never imports the engine or a screen."""
