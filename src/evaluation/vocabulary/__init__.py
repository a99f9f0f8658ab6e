"""The workbench's own words in Korean and English, a module for each subject."""
