"""How `make docs` turns these pages into a website, in build/docs. Needs no network."""

project = "Pigeonhole"
html_title = project
extensions = ["myst_parser"]
myst_heading_anchors = 4  # headings get the anchors that code hosting sites give them, and links are checked
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
