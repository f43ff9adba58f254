"""CellViT: nuclei and a token for each of them from one pass of a vision transformer."""
