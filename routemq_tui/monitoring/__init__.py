"""What others ask of a running engine over HTTP: is it alive, is it ready, and its metrics."""
