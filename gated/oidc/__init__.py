"""Sign-in with the company's account: OpenID Connect, authorization code flow with PKCE."""
