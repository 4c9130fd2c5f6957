"""Who drives runs: the only room that both moves and acts."""
