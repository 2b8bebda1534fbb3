"""Where clips come from: each module yields `ClipSource`s."""
