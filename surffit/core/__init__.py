"""The fit of one data set as people hold it: names, lmfit, words."""
