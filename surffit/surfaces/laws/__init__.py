"""Laws of physics and chemistry in two variables: dispersion, rates, gases, responses."""
