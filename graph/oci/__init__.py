"""What things are: the values and rules of the two OCI specifications. No I/O, no clock."""
