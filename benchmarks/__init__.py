"""Each script measures mporch beside its peers, in the same run."""
