"""Hot-path modules and the fused chain."""
