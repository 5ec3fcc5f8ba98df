"""Charts as HTML and SVG. No computing beyond the layout: numbers come in, markup goes out.

Lists and tables are HTML, whose text keeps its size on a phone; there is SVG only where axes are needed. A colour never
stands alone: a name, a sign, a dash pattern or a marker stands beside it.
"""
