//! The admin API's wire types and client, shared with the console.
