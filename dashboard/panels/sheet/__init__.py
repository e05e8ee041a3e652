"""The page Figures: what is on the sheet, and the sheet as it will be printed."""
