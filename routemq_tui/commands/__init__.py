"""The commands of the command line, one module each; front ends are imported lazily."""
