"""Where searches begin: guesses of a sample, candidates, coarse maps, neighbours."""
