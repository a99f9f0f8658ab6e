"""Who counts as a participant: records, reports, several projects, two samples."""
