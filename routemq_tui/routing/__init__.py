"""Topics, topic templates and handlers: which function a message goes to, and with which arguments.

Pure: knows no broker, process or configuration file.
"""
