"""Parts that commands share: options, words, completion, checks of specs, messages, exit codes."""
