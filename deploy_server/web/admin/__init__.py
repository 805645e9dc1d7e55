"""The console's pages, one blueprint a noun."""
