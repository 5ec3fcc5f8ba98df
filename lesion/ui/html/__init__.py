"""What is drawn as HTML and SVG."""
