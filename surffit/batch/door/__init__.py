"""From what was handed in to a task: containers, errors and masks, coordinates, parameters."""
