"""New pictures of a few domains: a generative adversarial network of small pictures' codes."""
