"""How `make docs` turns these pages into a website, in build/docs. Needs no network."""

project = "Pigeonhole"
html_title = project
extensions = ["myst_parser"]
html_theme = "furo"
# Headings get the same anchors as on code hosting sites, and links to them are checked.
myst_heading_anchors = 4
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None
