"""Pictures of a run, made from its findings as plain Plotly data: drawing them is the page's part."""
