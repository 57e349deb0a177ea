mod claims;
mod kit;
mod measuring;
mod volumes;
