"""Shapes of geometry and optics: planes, quadrics, spheres, conics, wavefronts."""
