mod claims;
mod kit;
mod volumes;
