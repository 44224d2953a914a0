"""The formats of dates and times in the panel, which Django finds by the setting FORMAT_MODULE_PATH."""
