"""New pictures of a few domains: a generative adversarial network and a painter of its detail."""
