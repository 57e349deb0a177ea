//! Writes the definitions into the folder `yaml` of this crate.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml");
    let definitions = match crds::definitions() {
        Ok(definitions) => definitions,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    for definition in definitions {
        let file = folder.join(&definition.file);
        let written = crds::yaml(&definition.object).map_err(|error| error.to_string());
        let written = written.and_then(|text| {
            std::fs::write(&file, &text).map_err(|error| error.to_string())?;
            Ok(text.len())
        });
        match written {
            Ok(length) => println!("{}: {} KiB", definition.file, length >> 10),
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
