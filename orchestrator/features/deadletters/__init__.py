"""Items of dead letters: shown without running what is in them, fed back, and tried by hand."""
