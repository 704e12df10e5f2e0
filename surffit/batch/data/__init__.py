"""Where the data sets lie: cubes and ragged groups, cut into blocks and gathered."""
