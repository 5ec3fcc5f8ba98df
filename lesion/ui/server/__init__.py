"""What stands between the page and the network: settings, the allow-list, files."""
