"""Pure array functions that several rooms need."""
