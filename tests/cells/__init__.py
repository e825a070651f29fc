"""What the contract tests ask of each cell, one module each."""
