"""What a batch has found: maps, words, tables, single fits, values at other coordinates."""
