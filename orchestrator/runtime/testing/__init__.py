"""What a test of a spec needs of processes: stand-ins, kills, recordings, comparisons."""
