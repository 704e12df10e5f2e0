"""Peaks: one bright (or dark) spot, mostly with elliptical contours."""
