"""The replacement decision gates. Empty until the gates land."""
