"""The broker against a model of honest workers, whatever dies, whenever it dies."""
