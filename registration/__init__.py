"""Stage: the affine map between the H&E slide and the IF slide of one section."""
