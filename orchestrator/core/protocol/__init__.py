"""Everything that crosses a border: messages, events, commands, notifications."""
