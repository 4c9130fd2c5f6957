"""What a machine is: declared as data, read from YAML or Python, resolved and typed."""
