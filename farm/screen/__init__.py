"""The live screen: what it shows (model), how it is drawn (draw), what its keys do (app), and where it comes from (source)."""
